# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
# shellcheck shell=bash
# Debian packages without installing them, for the scripts beside this file, which set $cache and
# $name.
# The array `apt` holds the options that say whose lists are used; all state of our own is below the
# cache.

die() { echo "$name: $1" >&2; exit 2; }

# The system's own lists, as they are.
system_apt()
{
	apt=(-o APT::Sandbox::User="$(id -un)")
}

# Own lists, just fetched: of the suites named, from the archive that the system's main source has;
# without a name, of the system's own sources.
private_apt()
{
	local state uri each keyring

	state=$cache/apt/$(IFS=+; echo "${*:-system}")
	mkdir -p "$state/lists/partial" "$state/archives/partial"
	apt=(-o APT::Sandbox::User="$(id -un)" -o Acquire::Retries=2
		-o "Dir::State::lists=$state/lists" -o "Dir::Cache::archives=$state/archives"
		-o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache=)
	if [ $# -gt 0 ]; then
		# shellcheck disable=SC2016 # apt's own variables
		uri=$(apt-get indextargets --format '$(CODENAME) $(COMPONENT) $(REPO_URI)' \
			'Created-By: Packages' |
			awk '$2 == "main" && $1 !~ /-/ && $3 ~ /\/debian\/?$/ && !n++ { print $3 }')
		[ -n "$uri" ] ||
			die "$* is wanted, and this machine's apt sources have no archive of Debian"
		keyring=/usr/share/keyrings/debian-archive-keyring.gpg
		for each; do
			echo "deb [signed-by=$keyring] $uri $each main"
		done >"$state/sources.list"
		apt+=(-o "Dir::Etc::sourcelist=$state/sources.list"
			-o Dir::Etc::sourceparts=/dev/null)
	fi
	apt-get "${apt[@]}" -qq update 2>"$cache/apt/log" ||
		die "apt-get update failed for ${*:-the sources of the system} (see $cache/apt/log)"
}

# unpack_package PACKAGE DIR
unpack_package()
{
	local deb=$2.deb status=0

	mkdir -p "$2" "$deb" "$cache/apt"
	(cd "$deb" && apt-get "${apt[@]}" -qq download "$1" 2>"$cache/apt/log" &&
		dpkg-deb -x ./*.deb "$2") || status=1
	rm -rf "$deb"
	return $status
}
