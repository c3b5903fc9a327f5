"""`make openapi`: writes the API's description, as the code gives it, to openapi.json."""

import json

from service import create_app
from service.config import ACCOUNT_LIMITS, IP_LIMITS, Settings
from tools.project import PROJECT


def main() -> None:
    settings = Settings(
        supabase_url="http://127.0.0.1:54321",
        supabase_key="not needed",
        jwt_secret="not needed, but of at least 32 bytes",
        ip_limits=IP_LIMITS,
        account_limits=ACCOUNT_LIMITS,
    )
    spec = create_app(settings).test_client().get("/api/openapi.json").get_json()
    (PROJECT / "openapi.json").write_text(json.dumps(spec, indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
