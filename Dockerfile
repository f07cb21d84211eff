# Code server, daemon and web server from one image; docker-compose.yml starts them.
FROM python:3.12-slim

ENV PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1 DAGSTER_HOME=/dagster
WORKDIR /app

COPY requirements.lock setup.py README.md dagster.yaml workspace.yaml ./
RUN pip install --requirement requirements.lock
COPY gfe_assets gfe_assets
RUN pip install --no-deps . && mkdir -p "$DAGSTER_HOME" && cp dagster.yaml "$DAGSTER_HOME/"

RUN useradd --create-home gfe && mkdir /data && chown gfe /data "$DAGSTER_HOME"
USER gfe
ENV GFE_DATA_URI=/data
VOLUME ["/data", "/dagster"]
EXPOSE 3000

CMD ["dagster-webserver", "--host", "0.0.0.0", "--port", "3000", "--workspace", "/app/workspace.yaml"]
