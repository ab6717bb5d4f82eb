# SPDX-License-Identifier: MPL-2.0
# symbl-service in a container: docker build -t symbl-service . ; compose.yaml runs it.

FROM rust:1.94-bookworm AS build
WORKDIR /src
RUN apt-get update \
    && apt-get install -y --no-install-recommends cmake pkg-config python3 \
    && rm -rf /var/lib/apt/lists/*
COPY . .
ARG SYMBL_REVISION=
RUN cargo build --release --locked --package symbl-service --package symbl-tap \
    && strip target/release/symbl-service target/release/symbl-tap \
    && for program in symbl-service symbl-tap; do \
        python3 scripts/release/licences.py $program >$program.licences.txt || exit 1; done

FROM debian:bookworm-slim
# The recogniser that needs no model, the certificates for the download of one, and what
# decodes recordings.
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates curl libpocketsphinx3 \
        pocketsphinx-en-us python3-pip gstreamer1.0-tools gstreamer1.0-plugins-base \
        gstreamer1.0-plugins-good gstreamer1.0-libav \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 8787 --home-dir /var/lib/symbl-service --create-home symbl
COPY --from=build /src/target/release/symbl-service /src/target/release/symbl-tap /usr/bin/
COPY --from=build /src/LICENSE /usr/share/doc/symbl-service/copyright
COPY --from=build /src/symbl-service.licences.txt /src/symbl-tap.licences.txt /usr/share/doc/symbl-service/
ENV XDG_CACHE_HOME=/var/lib/symbl-service/cache
USER symbl
WORKDIR /var/lib/symbl-service
VOLUME /var/lib/symbl-service
EXPOSE 8787 8788
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=6s --start-period=30s \
    CMD ["curl", "-fsS", "http://127.0.0.1:8788/readyz"]
ENTRYPOINT ["symbl-service"]
CMD ["--listen", "0.0.0.0:8787", "--metrics-listen", "0.0.0.0:8788", "--data", "/var/lib/symbl-service/data", "--log-format", "json"]
