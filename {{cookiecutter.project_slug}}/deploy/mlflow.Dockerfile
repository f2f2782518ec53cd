# The MLflow server, in the version that the notebooks use; deploy/compose.yaml builds and configures it.
ARG PYTHON=python:3.12-slim

FROM ${PYTHON} AS environment
ARG UV_DEFAULT_INDEX
RUN pip install --no-cache-dir "uv>=0.9,<1"
ENV UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy UV_NO_CACHE=1 UV_PYTHON_DOWNLOADS=never
WORKDIR /app
COPY pyproject.toml uv.lock ./
RUN uv sync --frozen --only-group tracking

FROM ${PYTHON}
RUN useradd --uid 10001 --no-create-home mlflow && install --directory --owner mlflow /state
COPY --from=environment /app /app
COPY deploy/mlflow.ini /app/
ENV PATH=/app/.venv/bin:$PATH HOME=/tmp MLFLOW_AUTH_CONFIG_PATH=/app/mlflow.ini \
  MLFLOW_DISABLE_TELEMETRY=true MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false \
  MLFLOW_BACKEND_STORE_URI=postgresql+psycopg://mlflow@mlflow-database/mlflow \
  MLFLOW_ARTIFACTS_DESTINATION=/state
WORKDIR /tmp
USER 10001
VOLUME /state
EXPOSE 5000
HEALTHCHECK --interval=10s --timeout=5s --start-period=120s \
  CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:5000/health', timeout=4)"]
CMD ["mlflow", "server", "--app-name", "basic-auth", "--host", "0.0.0.0", "--port", "5000", "--workers", "1"]
