#!/bin/sh
# Makes the users before the files that belong to them. Idempotent.
set -e
getent group sallyport-door >/dev/null || groupadd --system sallyport-door
getent group sallyport >/dev/null || groupadd --system sallyport
getent passwd sallyport >/dev/null ||
    useradd --system --gid sallyport --home-dir /var/lib/sallyport --no-create-home \
        --shell /usr/sbin/nologin --comment "Sallyport security daemon" sallyport
# NGINX's workers ask the door: their user joins its group.
for user in www-data nginx; do
    if getent passwd "$user" >/dev/null; then
        usermod -a -G sallyport-door "$user"
    fi
done
exit 0
