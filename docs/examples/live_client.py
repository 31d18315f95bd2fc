"""Follow a tenant's decisions live and miss none (`pip install websockets`; DG_SOCKET, DG_API: other addresses).

DG_TOKEN=dg_... python live_client.py demo [--after 0]

Prints one event a line, in log order, once. `live_client.cursor` keeps the place: a stopped run goes on where it was.
"""

import argparse
import json
import os
import pathlib
import sys
import time
import urllib.request

from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

SOCKET = os.environ.get("DG_SOCKET", "ws://localhost:8001/ws/")
API = os.environ.get("DG_API", "http://localhost:8000/api/v1")
BEARER = {"Authorization": f"Bearer {os.environ['DG_TOKEN']}"}
KEPT = pathlib.Path("live_client.cursor")


def keep(cursor):  # whole or not at all, whenever this program dies
    KEPT.with_suffix(".new").write_text(str(cursor))
    KEPT.with_suffix(".new").replace(KEPT)


def handle(event):  # your work goes here; done twice, after a crash, it must do no harm
    print(json.dumps(event), flush=True)
    keep(event["log_seq"])


def catch_up(end):  # too far behind for a socket: read the log by pages
    while (after := int(KEPT.read_text())) < end:
        request = urllib.request.Request(f"{API}/events?after={after}&limit=500", headers=BEARER)
        with urllib.request.urlopen(request, timeout=30) as answer:
            for event in json.load(answer)["items"]:
                handle(event)


def follow(topic):
    subscribe = {"type": "subscribe", "topic": topic, "after": int(KEPT.read_text()) if KEPT.exists() else None}
    with connect(SOCKET, additional_headers=BEARER) as socket:
        socket.send(json.dumps(subscribe))
        for frame in map(json.loads, socket):
            if frame["type"] == "subscribed":
                keep(frame["cursor"])
            elif frame["type"] == "event":
                handle(frame["data"])
            elif frame["type"] == "resync":
                catch_up(frame["cursor"])
            elif frame["type"] == "error" and frame["code"] != "database.unavailable":
                sys.exit(f"{frame['code']}: {frame['detail']}")


arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
arguments.add_argument("tenant")
arguments.add_argument("--after", type=int, help="start after this log_seq")
wanted = arguments.parse_args()
if wanted.after is not None:
    keep(wanted.after)
while True:
    try:
        follow(f"tenant:{wanted.tenant}:traces")
    except (OSError, InvalidStatus, ConnectionClosed) as error:
        if isinstance(error, ConnectionClosed) and error.rcvd and error.rcvd.code in (4401, 4403):
            sys.exit(f"refused: {error}")
        print(f"connecting again: {error}", file=sys.stderr, flush=True)
    time.sleep(1)
