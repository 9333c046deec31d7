# Stand-ins for two final bases, from Debian's packages, for a machine that reaches no image registry.
# Built by target: distroless for the image of that name (static, Debian 12), which is these packages without a shell;
# busybox for alpine, of which it is the part one looks for: a shell and the usual tools, in one static file.
ARG DEBIAN=debian:bookworm-slim
FROM ${DEBIAN} AS fetch
ARG DEBIAN_MIRROR
WORKDIR /packages
RUN if [ -n "$DEBIAN_MIRROR" ]; then \
        sed -i "s|https\?://[^ ]*/debian\([ /]\|\$\)|$DEBIAN_MIRROR\1|" \
            $(find /etc/apt -name '*.list' -o -name '*.sources'); \
    fi && \
    apt-get update -q && \
    apt-get download base-files netbase tzdata ca-certificates media-types busybox-static && \
    for name in base-files netbase tzdata ca-certificates media-types; do \
        dpkg -x "${name}"_*.deb /distroless; \
    done && \
    rm -rf /distroless/usr/share/doc /distroless/usr/share/man && \
    dpkg -x busybox-static_*.deb /unpacked && \
    mkdir -p /busybox/bin /busybox/etc /busybox/tmp && \
    echo 'root:x:0:0:root:/:/bin/sh' > /busybox/etc/passwd && \
    cp "$(find /unpacked -path '*/bin/busybox')" /busybox/bin/ && \
    for tool in $(/busybox/bin/busybox --list | grep -vx busybox); do ln -s busybox "/busybox/bin/$tool"; done

FROM scratch AS distroless
COPY --from=fetch /distroless /

FROM scratch AS busybox
COPY --from=fetch /busybox /
ENV PATH=/bin
CMD ["sh"]
