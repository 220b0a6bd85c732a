# Stands in for the image rust where no registry of images can be reached: the host's own toolchain.
FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends \
        ca-certificates curl gcc g++ git libc6-dev libssl-dev make pkg-config \
    && rm -rf /var/lib/apt/lists/*
ENV CARGO_HOME=/usr/local/cargo \
    PATH=/usr/local/cargo/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
COPY --from=toolchain bin /usr/local/cargo/bin
COPY --from=toolchain lib /usr/local/cargo/lib
