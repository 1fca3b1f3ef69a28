# chat-worker and chat-replay. Plain syntax that every builder understands.
#
#   docker build -t chat-worker .                    the image
#   docker build --target test -t chat-worker-test . builds and runs the unit tests on Debian 13
ARG BASE=debian:trixie-slim

# ---- build: both programs, optimised and hardened, below /out
FROM ${BASE} AS build
WORKDIR /src
COPY scripts/setup scripts/setup
RUN scripts/setup build && rm -rf /var/lib/apt/lists/*
COPY CMakeLists.txt CMakePresets.json ./
COPY cmake cmake
COPY common common
COPY schemas schemas
COPY worker worker
COPY replay replay
RUN cmake --preset release -DCHAT_WORKER_TESTS=OFF -DCHAT_WORKER_WERROR=OFF -DCMAKE_INSTALL_PREFIX=/usr \
 && cmake --build --preset release \
 && DESTDIR=/out cmake --install build/release --strip

# ---- test: the same sources under the sanitizers
FROM build AS test
COPY tests tests
RUN cmake --preset dev && cmake --build --preset dev && ctest --preset dev --label-regex unit --parallel 4

# ---- runtime
FROM ${BASE} AS runtime
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="chat-worker" \
      org.opencontainers.image.description="Answers chat requests from Kafka with models behind OpenRouter, exactly once" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates \
      librdkafka1 libcurl4t64 libmsgpack-c2 libconfig11 libyyjson0 libmicrohttpd12t64 \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/cache/debconf/*-old /var/log/*
COPY --from=build /out/usr/ /usr/
USER 65532:65532
EXPOSE 9464
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --retries=3 CMD ["chat-worker", "healthcheck"]
ENTRYPOINT ["chat-worker"]
