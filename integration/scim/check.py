"""The checks themselves: scim2-tester over what the endpoint says of itself, and a person's way.

  check.py ADDRESS          with the token in SCIM_TOKEN
"""

import collections
import os
import sys

import httpx2 as httpx
from scim2_client.engines.httpx2 import SyncSCIMClient
from scim2_tester import Status, check_server

DATE = "last_day"


def library(http):
    """scim2-tester's own checks, over the schemas that the endpoint publishes."""
    client = SyncSCIMClient(http)
    client.discover()
    # The library fills texts with random ones; this one has to be a date, which no schema can say.
    (dated,) = [model for model in client.provider.models if DATE in model.model_fields]
    dated.model_fields[DATE].examples = ["2030-12-31"]
    results = check_server(client)
    counts = collections.Counter(result.status.name for result in results)
    for result in results:
        if result.status in (Status.ERROR, Status.CRITICAL):
            print(f"{result.status.name} {result.title} ({result.resource_type}): {result.reason}")
    print("scim2-tester:", ", ".join(f"{count} {name}" for name, count in sorted(counts.items())))
    return bool(counts["SUCCESS"]) and not counts["ERROR"] and not counts["CRITICAL"]


def say(http, method, path, expected, **body):
    answer = http.request(method, path, **({"json": body} if body else {}))
    if answer.status_code != expected:
        raise SystemExit(f"{method} {path}: {answer.status_code} {answer.text}")
    return answer.json() if answer.content else None


def patch(value, **more):
    schema = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
    return {"schemas": [schema], "Operations": [{"op": "Replace", "value": value, **more}]}


def person(http):
    """Joins, gets a role by a group, leaves and comes back, in each directory's words."""
    user = say(http, "POST", "/Users", 201, userName="Ada@Example.org", emails=[{"value": "a@b"}])
    path = f"/Users/{user['id']}"
    query = "/Users?filter=userName%20eq%20%22ada%40example.org%22"
    assert say(http, "GET", query, 200)["totalResults"] == 1
    members = [{"value": user["id"]}]
    group = say(http, "POST", "/Groups", 201, displayName="Support", members=members)
    role = "urn:ietf:params:scim:schemas:extension:postern:2.0:User"
    assert say(http, "GET", path, 200)[role]["role"] == "administrator"
    out = [patch(False, path="active"), patch({"active": False}), patch("False", path="active")]
    for shape in out:
        assert say(http, "PATCH", path, 200, **shape)["active"] is False
        assert say(http, "PATCH", path, 200, **patch(True, path="active"))["active"] is True
    say(http, "PATCH", path, 400, **patch("Other@Example.org", path="userName"))
    say(http, "DELETE", path, 204)
    assert "members" not in say(http, "GET", f"/Groups/{group['id']}", 200)
    say(http, "DELETE", f"/Groups/{group['id']}", 204)
    print("a person's way: as expected")


def main():
    headers = {"Authorization": f"Bearer {os.environ['SCIM_TOKEN']}"}
    with httpx.Client(base_url=sys.argv[1], headers=headers, timeout=30) as http:
        person(http)
        return 0 if library(http) else 1


if __name__ == "__main__":
    sys.exit(main())
