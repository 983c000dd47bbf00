# One image for the three services, the migrations and the opening of accounts; which one it is, the command says. The target
# `lab` is another image, for deploy/lab.yml; the image of the services has nothing of it. (Docker's older builder builds all
# stages before the one that is named, so the lab comes after the services.)

FROM python:3.13-slim AS build
COPY requirements-services.lock /build/
# Wheels only: nothing is compiled, so no build tool is needed. pip stays outside of the environment that is copied.
RUN python -m venv --without-pip /opt/venv \
 && pip --python /opt/venv/bin/python install --no-cache-dir --disable-pip-version-check --root-user-action=ignore \
      --only-binary :all: --require-hashes -r /build/requirements-services.lock
COPY service_kit /app/service_kit
COPY billing_service /app/billing_service
COPY notification_service /app/notification_service
COPY order_service /app/order_service
COPY migrations /app/migrations
COPY deploy/logging.json pyproject.toml LICENSE /app/
# The root of a container is read-only, so bytecode is made here or at every start.
RUN /opt/venv/bin/python -m compileall -q --invalidation-mode unchecked-hash /app

FROM python:3.13-slim AS services
# A fixed number, so that policies and volumes can name it; it has no login, and nothing in /app belongs to it.
RUN groupadd --gid 10001 billed \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /app --shell /usr/sbin/nologin billed
COPY --from=build /opt/venv /opt/venv
COPY --from=build /app /app
ENV PATH=/opt/venv/bin:/usr/local/bin:/usr/bin:/bin PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /app
USER 10001:10001
# uvicorn stops listening at SIGTERM and finishes what is in flight, for as long as a request can take and no longer.
STOPSIGNAL SIGTERM
ENTRYPOINT ["uvicorn", "--factory", "--host", "0.0.0.0", "--no-access-log", "--no-server-header", \
            "--http", "service_kit.http_guard:GuardedProtocol", "--log-config", "logging.json", "--timeout-graceful-shutdown", "10"]
CMD ["order_service.app:create", "--port", "8001"]

# The lab, and the services as it needs them: wrapped, each kept running by a supervisor.
FROM python:3.13-slim AS lab
COPY requirements.lock /build/
RUN python -m venv --without-pip /opt/venv \
 && pip --python /opt/venv/bin/python install --no-cache-dir --disable-pip-version-check --root-user-action=ignore \
      --only-binary :all: --require-hashes -r /build/requirements.lock
COPY service_kit /lab/service_kit
COPY billing_service /lab/billing_service
COPY notification_service /lab/notification_service
COPY order_service /lab/order_service
COPY migrations /lab/migrations
COPY stack /lab/stack
COPY report /lab/report
COPY chaos /lab/chaos
COPY lab /lab/lab
# The bugs that are planted when a protection is taken away.
COPY tests/chaos/planted /lab/tests/chaos/planted
COPY tests/__init__.py /lab/tests/
COPY tests/chaos/__init__.py /lab/tests/chaos/
COPY pyproject.toml LICENSE /lab/
RUN /opt/venv/bin/python -m compileall -q --invalidation-mode unchecked-hash /lab \
 && groupadd --gid 10001 billed \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /lab --shell /usr/sbin/nologin billed \
 && install -d -m 0700 -o 10001 -g 10001 /run/lab
ENV PATH=/opt/venv/bin:/usr/local/bin:/usr/bin:/bin PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 LAB_PORT=8000
WORKDIR /lab
USER 10001:10001
STOPSIGNAL SIGTERM
ENTRYPOINT ["python", "-E", "-m", "lab", "--host", "0.0.0.0", "--containers", "--no-browser", "--run-dir", "/run/lab"]

# What is built when no target is named.
FROM services
