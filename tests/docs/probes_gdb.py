# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""Runs in gdb: counts what each probe of libhmm says, a site at a time, without stopping.

The last lines of its output are "PROBE name site argument...".
"""
# pylint: disable=import-error
import gdb

MOST = 500  # of each site


class Site(gdb.Breakpoint):
    """A probe's place: gdb knows the arguments there."""

    def __init__(self, name, address):
        super().__init__('*' + address, internal=True)
        self.name, self.said = name, []

    def stop(self):
        n = int(gdb.parse_and_eval('$_probe_argc'))
        self.said.append([int(gdb.parse_and_eval(f'$_probe_arg{i}')) for i in range(n)])
        if len(self.said) >= MOST:
            self.enabled = False
        return False


def main():
    for setting in ('pagination off', 'print thread-events off', 'confirm off'):
        gdb.execute('set ' + setting)
    gdb.execute('handle SIGSEGV SIGBUS SIGUSR1 SIGUSR2 SIGALRM nostop noprint pass', to_string=True)
    gdb.execute('tbreak main', to_string=True)
    gdb.execute('run', to_string=True)
    sites = []
    for line in gdb.execute('info probes stap libhmm', to_string=True).splitlines():
        words = line.split()
        if len(words) > 3 and words[0] == 'stap':
            sites.append(Site(words[2], words[3]))
    gdb.execute('continue')
    for site in sites:
        print('PROBE', site.name, site.location)
        for arguments in site.said:
            print('PROBE', site.name, site.location, *arguments)


main()
