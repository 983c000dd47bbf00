"""The page of settings is what the classes say."""

from tests.architecture import settings_page


def test_the_table_is_up_to_date() -> None:
    """`make docs` would change nothing."""
    page = settings_page.PAGE.read_text(encoding="utf-8")
    assert settings_page.generated(page) == page


def test_an_old_table_is_noticed() -> None:
    """The negative control: a default that was edited by hand is another page."""
    page = settings_page.PAGE.read_text(encoding="utf-8")
    edited = page.replace(
        "| `BILLING_LOCK_TIMEOUT_S` | `1` |", "| `BILLING_LOCK_TIMEOUT_S` | `2` |"
    )
    assert edited != page
    assert settings_page.generated(edited) != edited


def test_every_setting_has_a_meaning() -> None:
    """A setting without a description could not be set by a reader of the page."""
    for settings in settings_page.CLASSES:
        for name, field in settings.model_fields.items():
            assert field.description, name
