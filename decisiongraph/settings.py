"""All settings, read from the environment; a value that makes no sense stops the start by name.

Every variable is described in ``docs/configuration.md`` (a test keeps the two equal).
"""

from __future__ import annotations

import os
import re
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured

from decisiongraph.core import telemetry
from decisiongraph.core.telemetry import spans
from decisiongraph.stack.endpoints import django_database, endpoints

BASE_DIR = Path(__file__).resolve().parent.parent


def _int(name: str, default: int, low: int, high: int) -> int:
    raw = os.environ.get(name, "")
    try:
        value = int(raw) if raw else default
    except ValueError:
        raise ImproperlyConfigured(f"{name} must be a whole number, not {raw!r}.") from None
    if not low <= value <= high:
        raise ImproperlyConfigured(f"{name} must lie between {low} and {high}, not {value}.")
    return value


def _choice(name: str, default: str, allowed: tuple[str, ...]) -> str:
    value = os.environ.get(name, "") or default
    if value not in allowed:
        raise ImproperlyConfigured(f"{name} must be one of {', '.join(allowed)}, not {value!r}.")
    return value


def _flag(name: str, default: bool) -> bool:
    return _choice(name, "1" if default else "0", ("0", "1")) == "1"


def _rate(name: str, default: str) -> str:
    """``requests/seconds``, or ``0`` for no limit."""
    value = os.environ.get(name, "") or default
    if value != "0" and not re.fullmatch(r"[1-9]\d{0,8}/[1-9]\d{0,4}", value):
        raise ImproperlyConfigured(f"{name} must be requests/seconds, for example 600/60, or 0, not {value!r}.")
    return value


def _list(name: str, default: str) -> list[str]:
    return [part.strip() for part in os.environ.get(name, default).split(",") if part.strip()]


def _kept_secret(path: Path) -> str:
    """The embedded stack's own key: made once, kept beside its data, readable by its owner only.

    Written aside and linked into place, so that of two processes starting at once one wins and
    neither reads half a key.
    """
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_name(f"{path.name}.{os.getpid()}")
        handle = os.open(aside, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600)
        with os.fdopen(handle, "w") as file:
            file.write(secrets.token_urlsafe(64))
        with suppress(FileExistsError):
            os.link(aside, path)
        aside.unlink()
    return path.read_text().strip()


# --- where things are ---------------------------------------------------------------------------
ENDPOINTS = endpoints(os.environ)
PORT = _int("PORT", 8000, 1, 65534)
PUBLIC_URL = os.environ.get("PUBLIC_URL", f"http://localhost:{PORT}").rstrip("/")
SOCKET_URL = os.environ.get("SOCKET_URL", f"ws://localhost:{PORT + 1}/ws/")
for _name, _value, _schemes in (
    ("PUBLIC_URL", PUBLIC_URL, ("http", "https")),
    ("SOCKET_URL", SOCKET_URL, ("ws", "wss")),
):
    if urlsplit(_value).scheme not in _schemes or not urlsplit(_value).netloc:
        raise ImproperlyConfigured(f"{_name} must be a {' or '.join(_schemes)} address, not {_value!r}.")

SECURE = PUBLIC_URL.startswith("https://")
DEBUG = _flag("DEBUG", False)
SECRET_KEY = os.environ.get("SECRET_KEY") or _kept_secret(ENDPOINTS.state_dir / "secret_key")
if len(SECRET_KEY) < 50:
    raise ImproperlyConfigured("SECRET_KEY must have at least 50 characters.")
ALLOWED_HOSTS = _list("ALLOWED_HOSTS", f"{urlsplit(PUBLIC_URL).hostname},localhost,127.0.0.1,[::1]")
CSRF_TRUSTED_ORIGINS = _list("TRUSTED_ORIGINS", f"{PUBLIC_URL},http://127.0.0.1:{PORT},http://localhost:{PORT}")

# --- apps ---------------------------------------------------------------------------------------
INSTALLED_APPS = [
    "tenants",
    "traces",
    "projections",
    "replays",
    "approvals",
    "decisiongraph",
    "tenants.apps.TenantAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "channels",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "guardian",
    "django_htmx",
    "django_structlog",
    "template_partials",
    "csp",
]

MIDDLEWARE = [
    "decisiongraph.core.middleware.RequestMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django_structlog.middlewares.RequestMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
]

PROGRAM_MIDDLEWARE = [
    "decisiongraph.core.middleware.RequestMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "django_structlog.middlewares.RequestMiddleware",
]
"""What a request with a bearer token passes: it has no session, no form and no page (see `wsgi`)."""

ROOT_URLCONF = "decisiongraph.urls"
WSGI_APPLICATION = "decisiongraph.wsgi.application"
ASGI_APPLICATION = "decisiongraph.asgi.application"
APPEND_SLASH = False

TEMPLATES: list[dict[str, Any]] = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "tenants.access.frame",
            ],
            "libraries": {"dg": "decisiongraph.core.templatetags.dg"},
            "builtins": ["decisiongraph.core.templatetags.dg"],
        },
    }
]

# --- database -----------------------------------------------------------------------------------
DB_ROLE = _choice("DG_DB_ROLE", "app", ("app", "owner"))
STATEMENT_TIMEOUT_MS = _int("STATEMENT_TIMEOUT_MS", 10_000, 100, 600_000)
PRECEDENT_EMBEDDING = os.environ.get("PRECEDENT_EMBEDDING", "")
"""Dotted path of a function from texts to vectors; empty: precedents are compared without one."""
DB_POOL_SIZE = _int("DB_POOL_SIZE", 8, 1, 100)
_database = django_database(ENDPOINTS.database_url_app if DB_ROLE == "app" else ENDPOINTS.database_url_owner)
if not _database["NAME"]:
    raise ImproperlyConfigured("DATABASE_URL must be postgresql://user@host/name.")
if DB_ROLE == "app":
    _database["OPTIONS"]["options"] = (
        _database["OPTIONS"].get("options", "")
        + " -c lock_timeout=2000 -c idle_in_transaction_session_timeout=10000"
        + f" -c statement_timeout={STATEMENT_TIMEOUT_MS}"
    ).strip()
_database["OPTIONS"] |= {
    "application_name": f"decisiongraph-{DB_ROLE}",
    "connect_timeout": 2,
    # Only statements that ask for it are prepared (the log's own); None would forbid even those.
    "prepare_threshold": 1_000_000_000,
}
_database["ENGINE"] = "decisiongraph.core.db.backend"
DATABASES: dict[str, dict[str, Any]] = {"default": _database}
if DB_ROLE == "app":
    DATABASES["default"]["OPTIONS"]["pool"] = {
        "min_size": 1,
        "max_size": DB_POOL_SIZE,
        "timeout": 3,
        "max_lifetime": 3600,
        "reconnect_timeout": 5,
    }
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
ATOMIC_REQUESTS = False

# --- people -------------------------------------------------------------------------------------
AUTH_USER_MODEL = "tenants.User"
AUTHENTICATION_BACKENDS = [
    "django.contrib.auth.backends.ModelBackend",
    "guardian.backends.ObjectPermissionBackend",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "tenants.services.passwords.ContextValidator"},
]
PASSWORD_WORDS = _list("PASSWORD_WORDS", "")
ANONYMOUS_USER_NAME = None
GUARDIAN_RAISE_403 = False
LOGIN_URL = "/signin"
LOGIN_REDIRECT_URL = "/"
_host_only = "__Host-" if SECURE else ""
"""A name that browsers accept only over https, for this host alone and its root."""
SESSION_COOKIE_NAME = f"{_host_only}dg_session"
SESSION_ENGINE = "tenants.access.sessions"
SESSION_COOKIE_AGE = _int("SESSION_HOURS", 12, 1, 720) * 3600
SESSION_IDLE_SECONDS = _int("SESSION_IDLE_MINUTES", 120, 5, 43_200) * 60
REAUTH_SECONDS = _int("REAUTH_MINUTES", 15, 1, 1440) * 60
OIDC_ISSUER = os.environ.get("OIDC_ISSUER", "").rstrip("/")
OIDC_CLIENT_ID = os.environ.get("OIDC_CLIENT_ID", "")
OIDC_CLIENT_SECRET = os.environ.get("OIDC_CLIENT_SECRET", "")
OIDC_NAME = os.environ.get("OIDC_NAME", "single sign-on") if OIDC_ISSUER else ""
if OIDC_ISSUER and not (OIDC_CLIENT_ID and OIDC_CLIENT_SECRET):
    raise ImproperlyConfigured("OIDC_ISSUER needs OIDC_CLIENT_ID and OIDC_CLIENT_SECRET as well.")
if OIDC_ISSUER and urlsplit(OIDC_ISSUER).scheme not in ("https", "http"):
    raise ImproperlyConfigured(f"OIDC_ISSUER must be an https address, not {OIDC_ISSUER!r}.")
REQUIRE_SECOND_FACTOR = _flag("REQUIRE_SECOND_FACTOR", False)
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE
SESSION_COOKIE_HTTPONLY = CSRF_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_NAME = f"{_host_only}dg_csrf"
SECURE_HSTS_SECONDS = 31_536_000 if SECURE else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = SECURE
SECURE_SSL_REDIRECT = SECURE and _flag("SSL_REDIRECT", True)
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if SECURE else None
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
_socket = urlsplit(SOCKET_URL)
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'none'"],
        "object-src": ["'none'"],
        "script-src": ["'self'"],
        "style-src": ["'self'"],
        "img-src": ["'self'", "data:"],
        "font-src": ["'self'"],
        "connect-src": ["'self'", f"{_socket.scheme}://{_socket.netloc}"],
        "form-action": ["'self'"],
        "base-uri": ["'none'"],
        "frame-ancestors": ["'none'"],
        "manifest-src": ["'self'"],
    }
}

# --- API ----------------------------------------------------------------------------------------
DATA_UPLOAD_MAX_MEMORY_SIZE = 8 * 1024 * 1024 + 1
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["tenants.access.ApiAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": [],
    "DEFAULT_RENDERER_CLASSES": ["decisiongraph.core.api.JsonRenderer"],
    "DEFAULT_PARSER_CLASSES": ["decisiongraph.core.api.StrictJsonParser"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "decisiongraph.core.api.handle_exception",
    "UNAUTHENTICATED_USER": None,
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "decisiongraph.core.api.JsonNegotiation",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "DecisionGraph",
    "VERSION": "1",
    "OAS_VERSION": "3.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "POSTPROCESSING_HOOKS": [
        "decisiongraph.core.api.schema.complete",
        "traces.api.schemas.embed_event_types",
    ],
    "SCHEMA_PATH_PREFIX": r"/api/v1",
    "DESCRIPTION": "The system of record for decisions made by AI agents and automation.",
    "TAGS": [
        {"name": "agent", "description": "For agents and services: send decision events, read them back."},
        {"name": "operator", "description": "For people and tools that run the platform."},
    ],
    "COMPONENT_SPLIT_REQUEST": True,
    "ENUM_NAME_OVERRIDES": {},
}

# --- broker, sockets, jobs ----------------------------------------------------------------------
REDIS_URL = ENDPOINTS.redis_url
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": {"hosts": [REDIS_URL], "prefix": "dg"},
    }
}
CELERY_BROKER_URL = ENDPOINTS.celery_url
JOBS_APP = "decisiongraph.celery.app"

# --- mail and webhooks --------------------------------------------------------------------------
EMAIL_URL = os.environ.get("EMAIL_URL", "") or "console:"
_mail = urlsplit(EMAIL_URL)
if _mail.scheme not in ("console", "smtp", "smtps", "smtp+tls") or (_mail.scheme != "console" and not _mail.hostname):
    raise ImproperlyConfigured("EMAIL_URL must be console: or smtp[s]://user:password@host:port, or smtp+tls://...")
EMAIL_BACKEND = f"django.core.mail.backends.{'console' if _mail.scheme == 'console' else 'smtp'}.EmailBackend"
EMAIL_HOST = _mail.hostname or "localhost"
EMAIL_PORT = _mail.port or {"smtps": 465, "smtp+tls": 587}.get(_mail.scheme, 25)
EMAIL_HOST_USER, EMAIL_HOST_PASSWORD = unquote(_mail.username or ""), unquote(_mail.password or "")
EMAIL_USE_SSL, EMAIL_USE_TLS = _mail.scheme == "smtps", _mail.scheme == "smtp+tls"
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = os.environ.get("EMAIL_FROM", "") or f"DecisionGraph <decisions@{urlsplit(PUBLIC_URL).hostname}>"
WEBHOOK_ALLOW_LOOPBACK = _flag("WEBHOOK_ALLOW_LOOPBACK", False)
"""For development and tests only: webhooks may go to this machine, over plain HTTP."""

# --- what the log says of itself outside --------------------------------------------------------
LOG_ORIGIN = os.environ.get("LOG_ORIGIN", "") or str(urlsplit(PUBLIC_URL).hostname)
if "+" in LOG_ORIGIN or any(char.isspace() for char in LOG_ORIGIN):
    raise ImproperlyConfigured("LOG_ORIGIN must hold neither spaces nor a plus, for example decisions.example.org.")
CHECKPOINT_DIR = os.environ.get("CHECKPOINT_DIR", "")
CHECKPOINT_PUSH_SECONDS = _int("CHECKPOINT_PUSH_SECONDS", 60, 1, 86_400)

# --- static files -------------------------------------------------------------------------------
STATIC_URL = "/static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
STATIC_ROOT = ENDPOINTS.state_dir / "static"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
WHITENOISE_USE_FINDERS = True
WHITENOISE_MAX_AGE = 60

# --- limits -------------------------------------------------------------------------------------
RATE_LIMITS = {
    "token": _rate("RATE_LIMIT_TOKEN", "120000/60"),
    "user": _rate("RATE_LIMIT_USER", "6000/60"),
    "tenant": _rate("RATE_LIMIT_TENANT", "300000/60"),
    "address": _rate("RATE_LIMIT_ADDRESS", "3000/60"),
}
"""Requests per seconds; a tenant's row may say otherwise (``manage.py set_limits``)."""
APPENDS_IN_FLIGHT = _int("APPENDS_IN_FLIGHT", 7, 1, 1000)
"""Appends of one tenant that one web process works on at once; one of its eight threads stays free."""
SOCKETS_PER_PRINCIPAL = _int("SOCKETS_PER_PRINCIPAL", 100, 1, 100_000)
SOCKETS_PER_PROCESS = _int("SOCKETS_PER_PROCESS", 5000, 1, 1_000_000)

# --- health thresholds --------------------------------------------------------------------------
STALE_UNMOVED_SECONDS = _int("STALE_UNMOVED_SECONDS", 15, 1, 3600)
STALE_LAG_SECONDS = _int("STALE_LAG_SECONDS", 60, 1, 86_400)

# --- how long what is over is kept -------------------------------------------------------------
OUTBOX_DAYS = _int("OUTBOX_DAYS", 30, 2, 3650)
NOTIFICATION_DAYS = _int("NOTIFICATION_DAYS", 90, 1, 3650)
DELIVERY_DAYS = _int("DELIVERY_DAYS", 30, 2, 3650)
IDEMPOTENCY_DAYS = _int("IDEMPOTENCY_DAYS", 30, 1, 3650)

# --- words --------------------------------------------------------------------------------------
LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True
USE_I18N = False
LOG_LEVEL = _choice("LOG_LEVEL", "INFO", ("DEBUG", "INFO", "WARNING", "ERROR"))
LOGGING = telemetry.logging_config(LOG_LEVEL)
telemetry.configure()
OTEL_ENDPOINT = os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT", "")
"""Where traces go; empty: nothing is traced."""
try:
    spans.configure(OTEL_ENDPOINT)
except LookupError as missing:
    raise ImproperlyConfigured(str(missing)) from None
DJANGO_STRUCTLOG_STATUS_4XX_LOG_LEVEL = 20
DJANGO_STRUCTLOG_STATUS_START_LOG_LEVEL = 10  # one line a request: its end
DJANGO_STRUCTLOG_IP_LOGGING_ENABLED = False  # guessing the address cost a fifth of a small request
# The outermost middleware has checked or made the id before django-structlog reads it.
DJANGO_STRUCTLOG_TRUST_UPSTREAM_REQUEST_ID = True
SILENCED_SYSTEM_CHECKS = [] if SECURE else ["security.W004", "security.W008", "security.W012", "security.W016"]
