"""`make openapi`: writes the API's description, as the code gives it, to openapi.json."""

import json

from service import create_app
from service.config import Config
from tools.project import PROJECT


def main() -> None:
    config = Config(
        is_production=False,
        supabase_url="http://127.0.0.1:54321",
        supabase_key="not needed",
        jwt_secret="not needed, but of at least 32 bytes",
    )
    spec = create_app(config).test_client().get("/api/openapi.json").get_json()
    (PROJECT / "openapi.json").write_text(json.dumps(spec, indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
