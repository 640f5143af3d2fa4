# Debian 12 with what namecam is linked with for arm64; see cross.toml. Debian 12 because of its glibc.
FROM debian:bookworm
COPY tools /lean/tools
RUN apt-get update && /lean/tools/lean image arm64 /lean/arm64 && rm -rf /var/lib/apt/lists/*
