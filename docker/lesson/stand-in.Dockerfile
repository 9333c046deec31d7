# Stand-ins for the Python images, from Debian alone, for a machine that reaches no image registry.
# Built by target: full for python:3.12, slim for python:3.12-slim, minimal for python:3.12-alpine.
# Each holds what the original is known to hold, as far as Debian has it; sizes come out near, not equal
# (Debian's Python is 3.11, and glibc is larger than musl).
ARG DEBIAN=debian:bookworm-slim

# The published slim image leaves out pages and translations; one made from the archive has them still.
FROM ${DEBIAN} AS trimmed
RUN rm -rf /usr/share/doc/* /usr/share/man/* /usr/share/info/* /usr/share/locale/* \
        /var/cache/apt/* /var/lib/apt/lists/* /var/log/* && \
    printf 'path-exclude /usr/share/%s/*\n' doc man info locale > /etc/dpkg/dpkg.cfg.d/trim

# A squash: what a later layer removes would still count.
FROM scratch AS debian
COPY --from=trimmed / /
ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
ENV DEBIAN_FRONTEND=noninteractive
ARG DEBIAN_MIRROR
RUN if [ -n "$DEBIAN_MIRROR" ]; then \
        sed -i "s|https\?://[^ ]*/debian\([ /]\|\$\)|$DEBIAN_MIRROR\1|" \
            $(find /etc/apt -name '*.list' -o -name '*.sources'); \
    fi
CMD ["bash"]

# Python as the Python images have it: it answers to "python", and pip may install for the whole system.
FROM debian AS slim
RUN apt-get update -q && \
    apt-get install -y -q --no-install-recommends python3 python3-pip python-is-python3 ca-certificates && \
    rm -rf /usr/lib/python3*/EXTERNALLY-MANAGED /var/lib/apt/lists/* /var/cache/apt/* /var/log/*
CMD ["python3"]

# The compilers and headers that the full image carries for packages that come as source.
FROM debian AS full
RUN apt-get update -q && \
    apt-get install -y -q --no-install-recommends ca-certificates curl git gnupg mercurial netbase \
        openssh-client procps subversion tzdata wget && \
    rm -rf /var/lib/apt/lists/* /var/cache/apt/*
RUN apt-get update -q && \
    apt-get install -y -q --no-install-recommends autoconf automake bzip2 default-libmysqlclient-dev \
        dpkg-dev file g++ gcc imagemagick libbluetooth-dev libbz2-dev libc6-dev libcurl4-openssl-dev \
        libdb-dev libevent-dev libffi-dev libgdbm-dev libglib2.0-dev libgmp-dev libjpeg-dev libkrb5-dev \
        liblzma-dev libmagickcore-dev libmagickwand-dev libmaxminddb-dev libncurses-dev libpng-dev libpq-dev \
        libreadline-dev libsqlite3-dev libssl-dev libtool libwebp-dev libxml2-dev libxslt1-dev libyaml-dev \
        make patch tk-dev unzip uuid-dev xz-utils zlib1g-dev && \
    rm -rf /var/lib/apt/lists/* /var/cache/apt/*
RUN apt-get update -q && \
    apt-get install -y -q --no-install-recommends python3 python3-dev python3-pip python3-venv \
        python-is-python3 && \
    rm -rf /usr/lib/python3*/EXTERNALLY-MANAGED /var/lib/apt/lists/* /var/cache/apt/*
CMD ["python3"]

# As small as Debian's Python goes: no package manager, no Perl, no tools for disks, no character tables.
FROM slim AS stripped
RUN rm -rf /usr/lib/apt /usr/bin/apt* /usr/bin/dpkg* /usr/lib/dpkg /usr/share/dpkg /var/lib/dpkg \
        /var/lib/apt /usr/bin/perl* /usr/lib/*/perl-base /usr/share/perl* /usr/lib/*/gconv \
        /usr/share/zoneinfo /usr/sbin/mke2fs /usr/sbin/*fsck* /usr/sbin/*2fs /sbin/*2fs /sbin/*fsck* \
        /usr/lib/*/libdb-5* /usr/lib/*/libapt-* /usr/share/bash-completion /usr/share/debconf \
        /usr/share/common-licenses && \
    find / -xdev -type d -name __pycache__ -prune -exec rm -rf {} +
FROM scratch AS minimal
COPY --from=stripped / /
ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
CMD ["python3"]
