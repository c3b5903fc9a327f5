"""What `make bench` compares with: the least that a Flask view over supabase-py can do, one call by key."""

import os

import httpx
from flask import Flask, jsonify
from supabase import ClientOptions, create_client

app = Flask(__name__)
options = ClientOptions(httpx_client=httpx.Client(http2=False), persist_session=False, auto_refresh_token=False)
supabase = create_client(os.environ["SUPABASE_URL"], os.environ["SUPABASE_SERVICE_ROLE_KEY"], options)


@app.get("/")
def get_package():
    return jsonify(supabase.table("packages").select("*").eq("id", 1).execute().data)
