# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""The pages of scan and history in a browser: all rows, search in consumers, the address."""
import html
import os
import re
import shutil
import subprocess
import sys

from synthetic import Program, Repo, check, equal, finish, scratch

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-background-networking", "--disable-dev-shm-usage",
         "--virtual-time-budget=10000"]
N = 450


def show(page, view, folder, script=""):
    """The page as the browser has it after its scripts: cells by row, and the whole text."""
    path = os.path.join(folder, "shown.html")
    with open(path, "w") as f:
        f.write(page.replace("</body>", f"<script>{script}</script></body>"))
    r = subprocess.run([BROWSER, *FLAGS, f"--user-data-dir={folder}/profile", "--dump-dom",
                        f"file://{path}#{view}"],
                       capture_output=True, text=True, timeout=120)
    body = r.stdout.partition('<tbody id="t">')[2].partition("</tbody>")[0]
    rows = [[html.unescape(re.sub("<[^>]*>", "", c)) for c in re.findall("<td.*?>(.*?)</td>", row)]
            for row in re.findall("<tr.*?>(.*?)</tr>", body)]
    return rows, r.stdout


def tree(folder):
    """Symbols s1 to sN; all are used by a file each, s7 by ten."""
    def put(path, text):
        os.makedirs(os.path.dirname(f"{folder}/{path}"), exist_ok=True)
        with open(f"{folder}/{path}", "w") as f:
            f.write(text)

    put("Makefile", "obj-y += lib/ drivers/\n")
    put("include/linux/a.h", "")
    put("lib/Makefile", "obj-y += a.o\n")
    put("lib/a.c",
        "".join(f"int s{i}(void) {{ return 0; }}\nEXPORT_SYMBOL{'_GPL' if i % 2 else ''}(s{i});\n"
                           for i in range(1, N + 1)))
    put("drivers/Makefile", "obj-m += " + " ".join(f"user{i}.o" for i in range(10)) + "\n")
    for i in range(10):
        put(f"drivers/user{i}.c",
            "int g(void)\n{\n\treturn s7()" + "".join(f" + s{k}()" for k in range(10 + i, N, 10))
            + ";\n}\n")


def names(rows):
    return [r[0] for r in rows]


def scan_page(folder):
    tree(folder + "/tree")
    page = subprocess.run([sys.argv[1], "scan", "--html", folder + "/tree"], capture_output=True,
                          text=True, check=True).stdout
    check("nothing from elsewhere", "http" not in page and "src=" not in page)
    seen = []
    for k in range(1, 4):
        seen += names(show(page, f"page={k}", folder)[0])
    equal("every row on one of the pages", sorted(seen), sorted(f"s{i}" for i in range(1, N + 1)))
    rows, _ = show(page, "q=user9.c", folder)
    equal("search in consumers", (len(rows), "s7" in names(rows)), (45, True))
    check("those that were searched for come first",
          ": drivers/user9.c" in dict((r[0], r[6]) for r in rows).get("s7", ""), str(rows[:2]))
    rows, _ = show(page, "verdict=unconsumed&licence=GPL&sort=-symbol", folder)
    equal("chosen and sorted by the address", names(rows), ["s9", "s5", "s3", "s1"])
    rows, _ = show(page, "sort=-consumers", folder)
    equal("most consumers first", (rows[0][0], rows[0][6].partition(":")[0]), ("s7", "10"))
    _, text = show(page, "", folder,
                   "$('q').value='user9';$('q').oninput();$('s1').value='GPL';$('s1').onchange();"
                   "document.querySelectorAll('th')[0].onclick();document.title=location.hash")
    check("the view is in the address",
          "<title>#q=user9&amp;licence=GPL&amp;sort=symbol</title>" in text, text[:300])
    _, text = show(page, "", folder,
                   "$('a').onclick();$('a').onclick();document.title=location.hash")
    check("the page is in the address", "<title>#page=3</title>" in text, text[:300])
    rows, _ = show(page, "page=99&sort=nonsense&verdict=none", folder)
    equal("an address that makes no sense", len(rows), N % 200)


def history_page(folder):
    repo = Repo(folder + "/repo")
    repo.commit("main", "base",
                {"Makefile": "obj-y += mm/\n", "include/linux/a.h": "",
                 "mm/Makefile": "obj-y += a.o\n",
                                 "mm/a.c": "".join(f"EXPORT_SYMBOL(s{i});\n" for i in range(250))})
    repo.tag("v1.0")
    page = Program(sys.argv[1], folder).run("history", repo.path, "--html").stdout
    rows, _ = show(page, "page=2&sort=symbol", folder)
    equal("history's second page", (len(rows), rows[-1][0] if rows else ""), (50, "s249"))


if not BROWSER:
    print("no browser (chromium): the pages are not looked at")
    sys.exit(77)
with scratch() as d:
    scan_page(d)
    history_page(d)
finish()
