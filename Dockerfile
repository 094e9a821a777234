# Build the wheel and its dependencies where the tools are; ship only what runs.
FROM python:3.12-slim AS build
WORKDIR /src
COPY pyproject.toml constraints.txt README.md ./
COPY hitl_receiver hitl_receiver
COPY hitlsh hitlsh
COPY workers workers
COPY service service
COPY hitl_sandbox hitl_sandbox
# Such as `--build-arg EXTRAS=alerts,otel`.
ARG EXTRAS=alerts
RUN python -m venv /opt/hitl && /opt/hitl/bin/pip install --no-cache-dir -c constraints.txt ".${EXTRAS:+[$EXTRAS]}"

FROM python:3.12-slim
RUN useradd --system --uid 10001 --home-dir /app --create-home hitl
COPY --from=build /opt/hitl /opt/hitl
# Your handlers go to /app: it is the working directory, so HITL_HANDLERS finds them there.
WORKDIR /app
ENV PATH=/opt/hitl/bin:$PATH PYTHONUNBUFFERED=1
USER hitl
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/health/live', timeout=2)"]
CMD ["hitl-receiver", "serve", "--host", "0.0.0.0"]
