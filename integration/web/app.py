"""A support centre's web application: Flask, many end users, one small pool of connections.

It knows nothing of who may see what. For each request it takes a connection, names the end user by
the token that came with the request, for that transaction, and asks the database.

  app.py PORT          with the gateway in PG…, the pool's size in POOL, the threads in THREADS
"""

import logging
import os
import sys

import flask
import psycopg
import psycopg_pool
import waitress

app = flask.Flask(__name__)
pool = psycopg_pool.ConnectionPool("", max_size=int(os.environ["POOL"]), open=True, timeout=60)

NAMED = "SELECT set_config('postern.actor', %s, true)"
CUSTOMER = "SELECT current_user, name, email FROM customers WHERE id = %s"


@app.get("/customers/<int:number>")
def customer(number):
    """One customer; `?ends=rollback` and `?ends=error` have the transaction end in another way."""
    token = flask.request.headers.get("Authorization", "").removeprefix("Bearer ")
    ends = flask.request.args.get("ends")
    with pool.connection() as connection:
        with connection.transaction(force_rollback=ends == "rollback"):
            if token:
                connection.execute(NAMED, [token])
            who, name, email = connection.execute(CUSTOMER, [number]).fetchone()
            if ends == "error":
                connection.execute("SELECT 1 / 0")
    return {"who": who, "name": name, "email": email}


@app.errorhandler(psycopg.Error)
def failed(error):
    return {"sqlstate": error.sqlstate}, 500


if __name__ == "__main__":
    # More clients than threads is what is wanted here.
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)
    pool.wait()
    print("ready", flush=True)
    threads = int(os.environ["THREADS"])
    waitress.serve(app, host="127.0.0.1", port=int(sys.argv[1]), threads=threads, backlog=256)
