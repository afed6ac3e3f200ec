"""A plugin of asv (asv.conf.json names it): published pages need no network.

asv's own page loads its libraries from three servers on the Internet, and where one of them cannot
be reached it shows an error in place of every graph. `asv publish` now lays copies beside it.
"""

import re
import shutil
from pathlib import Path

from asv.console import log
from asv.publishing import OutputPublisher

LIBRARIES = Path(__file__).parent / "libraries"

COPIES = {
    "jquery-3.3.1.min.js": "jquery.min.js",
    "flot/0.8.3/jquery.flot.min.js": "jquery.flot.js",
    "flot/0.8.3/jquery.flot.time.min.js": "jquery.flot.time.js",
    "flot/0.8.3/jquery.flot.selection.min.js": "jquery.flot.selection.js",
    "flot/0.8.3/jquery.flot.categories.min.js": "jquery.flot.categories.js",
    "flot-orderbars@1.0.0/js/jquery.flot.orderBars.js": "jquery.flot.orderBars.js",
    "stupidtable/1.0.1/stupidtable.min.js": "stupidtable.min.js",
    "blueimp-md5/2.19.0/js/md5.min.js": "md5.min.js",
    "bootstrap@3.1.1/dist/js/bootstrap.min.js": "bootstrap.min.js",
    "bootstrap@3.1.1/dist/css/bootstrap.min.css": "bootstrap.min.css",
}
"""How an address ends: our copy. Another version of asv may ask for other versions."""

REMOTE = re.compile(r'(src|href)="(https://[^"]+)" integrity="[^"]+"')
"""A library as asv's page names it. The checksum goes: not every copy is the minified one."""


class LocalLibraries(OutputPublisher):
    """Called by `asv publish` once the page is written."""

    name = "local_libraries"

    @classmethod
    def publish(cls, conf, repo, benchmarks, graphs, revisions):
        """Copy the libraries, and have the page load the copies."""
        html = Path(conf.html_dir)
        shutil.copytree(LIBRARIES, html / "libraries")
        page = html / "index.html"
        page.write_text(REMOTE.sub(_local, page.read_text("utf-8")), "utf-8")


def _local(tag: re.Match[str]) -> str:
    for end, copy in COPIES.items():
        if tag[2].endswith(f"/{end}"):
            return f'{tag[1]}="libraries/{copy}"'
    log.warning(f"no copy of {tag[2]}: the page needs the network")
    return tag[0]
