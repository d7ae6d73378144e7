import json
import pickle
import subprocess
import sys
import urllib.request

from fairlead.drill.faults import FAULTS
from fairlead.drill.stand_in import isolated, rows_of
from harness.command import LIMIT_S, clean_environ


def test_it_serves_with_the_settings_it_is_given_until_its_parent_lets_go(operator, tmp_path):
    settings, catalog = operator()
    rows, _ = rows_of(settings, catalog, FAULTS[:1])
    urls = {slug: "http://127.0.0.1:9/v1" for row in rows for slug in (row.slug, *row.others)}
    packed = pickle.dumps(isolated(settings, rows, urls, tmp_path, "sk-drill-0", "sk-drill-admin-0"))
    with subprocess.Popen(
        [sys.executable, "-m", "fairlead.drill"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=clean_environ(tmp_path),
        cwd=tmp_path,
        start_new_session=True,
    ) as process:
        try:
            process.stdin.write(b"%d\n%b" % (len(packed), packed))
            process.stdin.flush()
            url = next(told["url"] for told in map(json.loads, process.stdout) if "url" in told)
            with urllib.request.urlopen(f"{url}/livez", timeout=LIMIT_S) as reply:
                assert reply.status == 200
            process.stdin.close()
            for _ in process.stdout:  # until all that have it are gone
                pass
            assert process.wait(LIMIT_S) == 0
        finally:
            process.kill()
