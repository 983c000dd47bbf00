"""Other spellings of one value, for the tests of all that reads values."""

UUID_TEXT = "0b6a1c9e-8f1d-4c2a-9b3e-5d7f00a1b2c3"

OF_42 = (
    "042",
    "0042",
    "42.0",
    "4_2",
    "4_2.0",
    "+42",
    "-42",
    " 42",
    "42 ",
    "42\n",
    "\t42",
    "42e0",
    "4.2e1",
    "0x2a",
    "0b101010",
    "42,",
    "٤٢",
    "४२",
    "\uff14\uff12",  # fullwidth
    "4²",
    '"42"',
    "",
    "4200000000000000",
)

OF_A_UUID = (
    UUID_TEXT.upper(),
    UUID_TEXT.replace("b", "B", 1),
    "{" + UUID_TEXT + "}",
    "urn:uuid:" + UUID_TEXT,
    UUID_TEXT.replace("-", ""),
    UUID_TEXT.replace("-", "", 1),
    UUID_TEXT + "\n",
    " " + UUID_TEXT,
    UUID_TEXT[:-1],
    UUID_TEXT.replace("0", "\uff10", 1),  # fullwidth
    "",
)
