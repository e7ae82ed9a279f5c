# syntax=docker/dockerfile:1
# Debian's rTorrent 0.9.8, if you have no other image.

FROM debian:bookworm-slim
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --no-install-recommends --yes rtorrent \
    && rm -rf /var/lib/apt/lists/*
ARG UID=1000
RUN useradd --uid "$UID" --create-home rtorrent \
    && install --directory --owner rtorrent --group rtorrent --mode 0700 /run/rtorrent /session
USER $UID
WORKDIR /home/rtorrent
VOLUME ["/session", "/run/rtorrent"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["rtorrent", "-n", "-o", "import=/etc/rtorrent/rtorrent.rc"]
