# Sourced by test-install.sh: the rpm in a copy of the tree, booted, so that its
# scriptlets find a systemd that runs.
if command -v rpm >/dev/null; then
    make_tree
    boot_tree
    in_tree systemctl restart nginx
    one=build/install-dist/sallyport-0.1.0-1.x86_64.rpm two=build/next-dist/sallyport-0.2.0-1.x86_64.rpm
    # The root of the booted tree, with its mounts, and its processes' numbers:
    # the scriptlets reach its systemd, which asks who they are.
    in_root() {
        nsenter -t "$init" -p -u -C -n rpm --root "/proc/$init/root" --nodeps "$@" >"$tree.rpm" 2>&1 || { cat "$tree.rpm"; return 1; }
        cat "$tree.rpm"
        ! grep -q 'scriptlet failed' "$tree.rpm"
    }
    check "the rpm holds the SELinux module"          sh -c "rpm -qlp $one 2>/dev/null | grep -q /usr/share/selinux/packages/sallyport.pp"
    check "and says that its files are configuration" sh -c "rpm -qcp $one 2>/dev/null | grep -q /etc/sallyport/sallyport.toml"
    check "the rpm installs"                          in_root -i "$one"
    check "its daemon is active and enabled"          in_tree sh -c 'systemctl is-active sallyport sallyport.socket sallyport-control.socket && systemctl is-enabled sallyport sallyport.socket'
    check "and answers"                               in_tree sallyport status
    in_tree sed -i 's/^mode = "detect"/mode = "enforce"/' /etc/sallyport/sallyport.toml
    pid=$(in_tree systemctl show -p MainPID --value sallyport)
    check "the next version upgrades it"              in_root -U "$two"
    check "the daemon is the next version's"          in_tree sh -c 'systemctl is-active sallyport && [ "$(systemctl show -p MainPID --value sallyport)" != '"$pid"' ] && sallyport version | grep 0.2.0'
    check "a configuration of one's own is kept"      in_tree grep -q '^mode = "enforce"' /etc/sallyport/sallyport.toml
    check "the rpm is erased"                         in_root -e sallyport
    check "nothing of it runs or is enabled"          in_tree sh -c '! pgrep -x sallyport && ! systemctl is-enabled sallyport.service && test ! -e /usr/sbin/sallyport && test ! -e /etc/systemd/system/sockets.target.wants/sallyport.socket'
    check "the changed configuration is kept aside"   in_tree ls /etc/sallyport/sallyport.toml.rpmsave
else
    echo "note  no rpm here: the rpm is not installed (apt-get install rpm)"
fi
