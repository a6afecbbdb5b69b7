"""In: the environment (and ``.env``). Out: every setting of the program, in this one file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import environ
from csp.constants import NONE, SELF, UNSAFE_EVAL, UNSAFE_INLINE
from django.core.exceptions import ImproperlyConfigured
from django.templatetags.static import static
from django.urls import reverse_lazy
from django.utils.translation import gettext_lazy as _

from config import local_postgres, local_secrets

BASE_DIR = Path(__file__).resolve().parent.parent
env = environ.Env()
environ.Env.read_env(BASE_DIR / ".env")

# ------------------------------------------------------------------------------- where things are
DATA_DIR = Path(env.str("DATA_DIR", default=str(BASE_DIR / "var"))).resolve()
# What `make run` in another terminal runs with, so that a command fits to it.
environ.Env.read_env(DATA_DIR / "running.env")
HOST = env.str("HOST", default="127.0.0.1")
PORT = env.int("PORT", default=8000)
SANDBOX_PORT = env.int("SANDBOX_PORT", default=8900)
DEMO = env.bool("DEMO", default=True)
#: how platforms reach us; the callback addresses begin with it
PUBLIC_URL = env.str("PUBLIC_URL", default=f"http://{HOST}:{PORT}").rstrip("/")

# ------------------------------------------------------------------------------------- keys, hosts
SECRET_KEY = env.str("SECRET_KEY", default="") or local_secrets.read_or_make(
    DATA_DIR / "secrets" / "secret_key"
)
#: newest first; the first one encrypts, all of them decrypt
FIELD_KEYS: list[str] = env.list("FIELD_KEYS", default=[]) or [
    local_secrets.read_or_make(DATA_DIR / "secrets" / "field_key")
]
DEBUG = env.bool("DEBUG", default=False)
ALLOWED_HOSTS: list[str] = env.list(
    "ALLOWED_HOSTS",
    default=["localhost", "127.0.0.1", "[::1]"] + ([HOST] if HOST not in ("0.0.0.0", "::") else []),  # noqa: S104
)
CSRF_TRUSTED_ORIGINS: list[str] = env.list("CSRF_TRUSTED_ORIGINS", default=[])

HTTPS = env.bool("HTTPS", default=False)
SECURE_SSL_REDIRECT = HTTPS
# A platform that is redirected loses its push.
SECURE_REDIRECT_EXEMPT = [r"^callbacks/", r"^healthz$", r"^readyz$"]
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = HTTPS
if env.bool("BEHIND_PROXY", default=False):
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
X_FRAME_OPTIONS = "DENY"
SESSION_COOKIE_HTTPONLY = True

# ------------------------------------------------------------------------------------ applications
INSTALLED_APPS = [
    "unfold",
    "unfold.contrib.filters",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "rest_framework",
    "procrastinate.contrib.django",
    "axes",
    "auditlog",
    "csp",
    "campaigns",
    "callbacks",
]
MIDDLEWARE = [
    "callbacks.middleware.StraightToTheDoor",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "config.middleware.CommonExceptCallbacks",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "auditlog.middleware.AuditlogMiddleware",
    "config.middleware.RefuseOddRequests",
    "axes.middleware.AxesMiddleware",
]
ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
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
                "campaigns.admin.restore.tell_held",
                "campaigns.admin.incidents.tell_open",
                "campaigns.admin.notices.tell_unread",
            ],
            "libraries": {"callboard_rows": "campaigns.admin.list_rows"},
            "builtins": ["campaigns.admin.numbers"],
        },
    }
]
REST_FRAMEWORK = {"UNAUTHENTICATED_USER": None}

# ---------------------------------------------------------------------------------------- database
#: commands that need no database say so here (manage.py), so that none is started for them
if os.environ.get("CALLBOARD_DATABASE") == "none":
    DATABASES: dict[str, Any] = {"default": {"ENGINE": "django.db.backends.dummy"}}
else:
    try:
        _url = local_postgres.database_url(os.environ, DATA_DIR)
    except local_postgres.LocalPostgresError as error:
        raise ImproperlyConfigured(str(error)) from None
    DATABASES = {"default": environ.Env.db_url_config(_url)}
    DATABASES["default"]["ENGINE"] = "django.db.backends.postgresql"
    DATABASES["default"]["CONN_MAX_AGE"] = env.int("CONN_MAX_AGE", default=60)
    DATABASES["default"]["CONN_HEALTH_CHECKS"] = True
    # A server that does not answer is away: the door has 1.5 s to say so.
    DATABASES["default"].setdefault("OPTIONS", {})["connect_timeout"] = 2
    DATABASES["default"]["OPTIONS"].setdefault("tcp_user_timeout", 10_000)
    # … and one that says nothing while nobody asks is noticed within a minute.
    for _name, _value in (("idle", 30), ("interval", 10), ("count", 3)):
        DATABASES["default"]["OPTIONS"].setdefault(f"keepalives_{_name}", _value)
    DATABASES["default"]["TEST"] = {"NAME": env.str("TEST_DATABASE", default="test_callboard")}
#: seconds that a process may stand still inside a transaction; then the database ends its session,
#: and others get at the rows that it held; 0: for ever (campaigns/apps.py)
IDLE_IN_TRANSACTION_SECONDS = env.float("IDLE_IN_TRANSACTION_SECONDS", default=30.0)
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
PROCRASTINATE_AUTODISCOVER_MODULE_NAME = "jobs"

# ------------------------------------------------------------------------------------------- users
AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",
    "django.contrib.auth.backends.ModelBackend",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
AXES_FAILURE_LIMIT = 10
AXES_COOLOFF_TIME = 0.25  # hours
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_RESET_ON_SUCCESS = True
AXES_VERBOSE = False
LOGIN_URL = reverse_lazy("admin:login")
LOGIN_REDIRECT_URL = reverse_lazy("admin:index")

# --------------------------------------------------------------------------------------- languages
LANGUAGE_CODE = env.str("LANGUAGE_CODE", default="en")
LANGUAGES = [("en", "English"), ("zh-hans", "简体中文")]
LOCALE_PATHS = [BASE_DIR / "campaigns" / "locale"]
TIME_ZONE = env.str("TIME_ZONE", default="Asia/Shanghai")
FORMAT_MODULE_PATH = ["config.formats"]
USE_I18N = True
USE_TZ = True

# ------------------------------------------------------------------------------------------- files
STATIC_URL = "/static/"
#: only for `collectstatic`; the server serves the files from where they are
STATIC_ROOT = env.str("STATIC_ROOT", default="") or None
WHITENOISE_USE_FINDERS = True
MEDIA_ROOT = DATA_DIR / "media"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
DATA_UPLOAD_MAX_NUMBER_FIELDS = 5000

# ----------------------------------------------------------------------------- talking to platforms
#: hosts (or host:port) that may be platforms although they are loopback or private
PLATFORM_ALLOW_HOSTS: list[str] = env.list("PLATFORM_ALLOW_HOSTS", default=[])
#: seconds for one whole exchange with a platform
HTTP_TIMEOUT_SECONDS = env.float("HTTP_TIMEOUT_SECONDS", default=20.0)
#: seconds after which an unknown outcome may be settled by asking
SETTLE_SECONDS = env.float("SETTLE_SECONDS", default=180.0)
#: how often the platform has to give the same "no" before a request counts as never arrived
SETTLE_ANSWERS = env.int("SETTLE_ANSWERS", default=3)
#: a request that nobody could ask the platform about for so long is left to a person
LEAVE_TO_PERSON_SECONDS = env.float("LEAVE_TO_PERSON_SECONDS", default=1800.0)
_above = env.str("APPROVE_ABOVE", default="10000").strip() or "-1"
#: launching more contacts than this needs a second person; 0: every launch, empty: none
APPROVE_ABOVE: int | None = int(_above) if int(_above) >= 0 else None
#: seconds a worker owns what it is sending
LEASE_SECONDS = env.float("LEASE_SECONDS", default=120.0)
#: how far the database was, beside it: by this one that was restored in place is known
WITNESS_FILE = Path(env.str("WITNESS_FILE", default=str(DATA_DIR / "witness.json")))
#: seconds between two questions about a running task
POLL_SECONDS = env.float("POLL_SECONDS", default=15.0)
#: largest push that is taken, in bytes
PUSH_MAX_BYTES = 5_000_000
#: {code: dotted path of a function} for the semantic interface, see docs/answering.md
SEMANTIC_FUNCTIONS: dict[str, str] = env.dict("SEMANTIC_FUNCTIONS", default={})
#: seconds that such a function may take
SEMANTIC_FUNCTION_SECONDS = env.float("SEMANTIC_FUNCTION_SECONDS", default=0.12)
#: seconds in which the whole of a push must have come
PUSH_BODY_SECONDS = env.float("PUSH_BODY_SECONDS", default=2.0)
#: minutes without any push, while calls are made, after which a platform is silent: an alarm
SILENCE_MINUTES = env.float("SILENCE_MINUTES", default=15.0)
#: what did not come so long after a call, or after a platform counted it, is a gap; 0: none is
GAP_MINUTES = env.float("GAP_MINUTES", default=30.0)
#: largest contact file, in bytes
IMPORT_MAX_BYTES = env.int("IMPORT_MAX_BYTES", default=250_000_000)
#: days that our copy of a contact file is kept after its import ended
IMPORT_KEEP_DAYS = env.int("IMPORT_KEEP_DAYS", default=30)
#: days for which the file of an export can be fetched
EXPORT_KEEP_DAYS = env.int("EXPORT_KEEP_DAYS", default=7)
#: days for which a bulk job can be taken back
BULK_KEEP_DAYS = env.int("BULK_KEEP_DAYS", default=30)
#: recordings in one archive
EXPORT_MAX_RECORDINGS = env.int("EXPORT_MAX_RECORDINGS", default=50_000)
#: days that data is kept, an account may have shorter ones; 0: for ever (campaigns/retention.py)
KEEP_PUSHES_DAYS = env.int("KEEP_PUSHES_DAYS", default=180)
KEEP_EXCHANGES_DAYS = env.int("KEEP_EXCHANGES_DAYS", default=90)
KEEP_DIALOGS_DAYS = env.int("KEEP_DIALOGS_DAYS", default=730)
KEEP_RECORDINGS_DAYS = env.int("KEEP_RECORDINGS_DAYS", default=365)
#: variables of callers that nobody gave a date, since somebody last entered or changed them
KEEP_CONTEXTS_DAYS = env.int("KEEP_CONTEXTS_DAYS", default=365)
#: files dropped into <folder>/<task id>/ are imported, where the task says so; None: nobody looks
IMPORT_FOLDER = (
    Path(folder).resolve() if (folder := env.str("IMPORT_FOLDER", default="").strip()) else None
)
#: largest recording, in bytes
RECORDING_MAX_BYTES = env.int("RECORDING_MAX_BYTES", default=100_000_000)
#: seconds before the second, third … try to fetch a recording; then it is unavailable.
#: Together more than a day: platforms announce files that they make later
RECORDING_WAITS = env.list(
    "RECORDING_WAITS", cast=int, default=[10, 60, 300, 1800, 7200, 21_600, 57_600]
) or [60]

# ----------------------------------------------------------------------------------------- notices
#: hosts (or host:port) that webhooks may go to although they are loopback or private, by http too
NOTICE_ALLOW_HOSTS: list[str] = env.list("NOTICE_ALLOW_HOSTS", default=[])
#: seconds for one whole exchange with a webhook, or with the mail server
NOTICE_TIMEOUT_SECONDS = env.float("NOTICE_TIMEOUT_SECONDS", default=10.0)
#: seconds before the second, third … try to deliver a notice; then it has failed
NOTICE_WAITS = env.list("NOTICE_WAITS", cast=int, default=[30, 120, 600, 3600, 14_400, 43_200])
#: days that notices are kept; 0: for ever
KEEP_NOTICES_DAYS = env.int("KEEP_NOTICES_DAYS", default=365)
#: smtp+tls://user:password@host:587; empty: no e-mail is sent, and the screens say so
EMAIL_CONFIGURED = bool(env.str("EMAIL_URL", default="").strip())
if EMAIL_CONFIGURED:
    vars().update(env.email_url("EMAIL_URL"))
EMAIL_TIMEOUT = NOTICE_TIMEOUT_SECONDS
#: who the e-mails are from
DEFAULT_FROM_EMAIL = env.str("EMAIL_FROM", default="Callboard <callboard@localhost>")

# ----------------------------------------------------------------------------------------- metrics
METRICS_TOKEN = env.str("METRICS_TOKEN", default="")
#: networks that read /metrics without the token; behind a proxy every address is the proxy's
METRICS_ALLOW: list[str] = env.list(
    "METRICS_ALLOW", default=[] if METRICS_TOKEN else ["127.0.0.0/8", "::1"]
)

# -------------------------------------------------------------------------------- headers, logging
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        # Alpine.js, which unfold's screens are made with, evaluates its attributes.
        "script-src": [SELF, UNSAFE_EVAL],
        "style-src": [SELF, UNSAFE_INLINE],
        "img-src": [SELF, "data:"],
        "media-src": [SELF, "blob:"],
        "frame-ancestors": [NONE],
        "form-action": [SELF],
        "base-uri": [SELF],
        "object-src": [NONE],
    }
}
LOGGING: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {
            "()": "config.middleware.HidingFormatter",
            "format": "{asctime} {levelname} {name}: {message}",
            "style": "{",
        }
    },
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": env.str("LOG_LEVEL", default="INFO")},
    "loggers": {
        "django.server": {"handlers": ["console"], "level": "INFO", "propagate": False},
        "procrastinate": {"level": "WARNING"},
        "axes": {"level": "WARNING"},
    },
}

# ------------------------------------------------------------------------------------------ screens
UNFOLD: dict[str, Any] = {
    "SITE_TITLE": "Callboard",
    "SITE_HEADER": "Callboard",
    "SITE_SYMBOL": "support_agent",
    "SITE_FAVICONS": [
        {
            "rel": "icon",
            "type": "image/svg+xml",
            "href": lambda request: static("campaigns/favicon.svg"),
        }
    ],
    "SHOW_HISTORY": True,
    "SHOW_VIEW_ON_SITE": False,
    "SHOW_LANGUAGES": True,
    "DASHBOARD_CALLBACK": "campaigns.admin.home.fill_dashboard",
    "ENVIRONMENT": "campaigns.admin.home.name_environment",
    "STYLES": [lambda request: static("campaigns/callboard.css")],
    "SCRIPTS": [lambda request: static("campaigns/callboard.js")],
    "SIDEBAR": {
        "show_search": True,
        "navigation": [
            {
                "title": _("Campaigns"),
                "items": [
                    {"title": _("Home"), "icon": "home", "link": reverse_lazy("admin:index")},
                    {
                        "title": _("Tasks"),
                        "icon": "campaign",
                        "link": reverse_lazy("admin:campaigns_task_changelist"),
                        "permission": lambda r: r.user.has_perm("campaigns.view_task"),
                    },
                    {
                        "title": _("Contacts"),
                        "icon": "contacts",
                        "link": reverse_lazy("admin:campaigns_contact_changelist"),
                        "permission": lambda r: r.user.has_perm("campaigns.view_contact"),
                    },
                    {
                        "title": _("Re-dials"),
                        "icon": "replay",
                        "link": reverse_lazy("admin:campaigns_redial_changelist"),
                        "permission": lambda r: r.user.has_perm("campaigns.view_redial"),
                    },
                    {
                        "title": _("Experiments"),
                        "icon": "balance",
                        "link": reverse_lazy("admin:campaigns_experiment_changelist"),
                        "permission": lambda r: r.user.has_perm("campaigns.view_experiment"),
                    },
                    {
                        "title": _("Imports"),
                        "icon": "upload_file",
                        "link": reverse_lazy("admin:campaigns_contactimport_changelist"),
                        "permission": lambda r: r.user.has_perm("campaigns.view_contactimport"),
                    },
                    {
                        "title": _("Do not call"),
                        "icon": "phone_disabled",
                        "link": reverse_lazy("admin:campaigns_donotcall_changelist"),
                        "permission": lambda r: r.user.has_perm("campaigns.view_donotcall"),
                    },
                    {
                        "title": _("Holidays"),
                        "icon": "event_busy",
                        "link": reverse_lazy("admin:campaigns_holiday_changelist"),
                        "permission": lambda r: r.user.has_perm("campaigns.view_holiday"),
                    },
                    {
                        "title": _("Direct call"),
                        "icon": "phone_forwarded",
                        "link": reverse_lazy("admin:campaigns_task_direct_call"),
                        "permission": lambda r: r.user.has_perm("campaigns.call_directly"),
                    },
                ],
            },
            {
                "title": _("Decisions"),
                "separator": True,
                "items": [
                    {
                        "title": _("Needs a decision"),
                        "icon": "help",
                        "link": reverse_lazy("admin:campaigns_attempt_changelist"),
                        "badge": "campaigns.admin.attempts.count_badge",
                        "permission": lambda r: r.user.has_perm("campaigns.view_attempt"),
                    },
                    {
                        "title": _("Approvals"),
                        "icon": "verified_user",
                        "link": reverse_lazy("admin:campaigns_approval_changelist"),
                        "badge": "campaigns.admin.approvals.count_badge",
                        "permission": lambda r: r.user.has_perm("campaigns.view_approval"),
                    },
                    {
                        "title": _("Incidents"),
                        "icon": "emergency_home",
                        "link": reverse_lazy("admin:campaigns_incident_changelist"),
                        "badge": "campaigns.admin.incidents.count_badge",
                        "permission": lambda r: r.user.has_perm("campaigns.view_incident"),
                    },
                ],
            },
            {
                "title": _("Results"),
                "separator": True,
                "items": [
                    {
                        "title": _("Calls"),
                        "icon": "call",
                        "link": reverse_lazy("admin:campaigns_call_changelist"),
                        "permission": lambda r: r.user.has_perm("campaigns.view_call"),
                    },
                    {
                        "title": _("Review queue"),
                        "icon": "rate_review",
                        "link": reverse_lazy("admin:campaigns_review_changelist"),
                        "badge": "campaigns.admin.reviews.count_badge",
                        "permission": lambda r: r.user.has_perm("campaigns.view_review"),
                    },
                    {
                        "title": _("Agents"),
                        "icon": "support_agent",
                        "link": reverse_lazy("admin:campaigns_agent_changelist"),
                        "permission": lambda r: r.user.has_perm("campaigns.view_agent"),
                    },
                    {
                        "title": _("Recordings"),
                        "icon": "graphic_eq",
                        "link": reverse_lazy("admin:campaigns_recording_changelist"),
                        "permission": lambda r: r.user.has_perm("campaigns.view_recording"),
                    },
                    {
                        "title": _("Exports"),
                        "icon": "download",
                        "link": reverse_lazy("admin:campaigns_export_changelist"),
                        "permission": lambda r: r.user.has_perm("campaigns.export_data"),
                    },
                    {
                        "title": _("Bulk jobs"),
                        "icon": "checklist",
                        "link": reverse_lazy("admin:campaigns_bulkjob_changelist"),
                        "permission": lambda r: r.user.has_perm("campaigns.view_bulkjob"),
                    },
                    {
                        "title": _("Inbox"),
                        "icon": "inbox",
                        "link": reverse_lazy("admin:callbacks_receipt_changelist"),
                        "permission": lambda r: r.user.has_perm("callbacks.view_receipt"),
                    },
                    {
                        "title": _("Failed pushes"),
                        "icon": "cloud_download",
                        "link": reverse_lazy("admin:campaigns_failedpushday_changelist"),
                        "permission": lambda r: r.user.has_perm("campaigns.view_failedpushday"),
                    },
                    {
                        "title": _("Gaps"),
                        "icon": "rule_folder",
                        "link": reverse_lazy("admin:campaigns_gap_changelist"),
                        "permission": lambda r: r.user.has_perm("campaigns.view_gap"),
                    },
                ],
            },
            {
                "title": _("Answers"),
                "separator": True,
                "items": [
                    {
                        "title": _("Semantic rules"),
                        "icon": "rule",
                        "link": reverse_lazy("admin:campaigns_semanticrule_changelist"),
                        "permission": lambda r: r.user.has_perm("campaigns.view_semanticrule"),
                    },
                    {
                        "title": _("Callers' variables"),
                        "icon": "contact_phone",
                        "link": reverse_lazy("admin:campaigns_inboundcontext_changelist"),
                        "permission": lambda r: r.user.has_perm("campaigns.view_inboundcontext"),
                    },
                    {
                        "title": _("Questions"),
                        "icon": "forum",
                        "link": reverse_lazy("admin:campaigns_inboundanswer_changelist"),
                        "permission": lambda r: r.user.has_perm("campaigns.view_inboundanswer"),
                    },
                ],
            },
            {
                "title": _("Platforms"),
                "separator": True,
                "items": [
                    {
                        "title": _("Accounts"),
                        "icon": "key",
                        "link": reverse_lazy("admin:campaigns_account_changelist"),
                        "permission": lambda r: r.user.has_perm("campaigns.view_account"),
                    },
                    {
                        "title": _("Robots"),
                        "icon": "smart_toy",
                        "link": reverse_lazy("admin:campaigns_robot_changelist"),
                        "permission": lambda r: r.user.has_perm("campaigns.view_robot"),
                    },
                    {
                        "title": _("Lines"),
                        "icon": "dialpad",
                        "link": reverse_lazy("admin:campaigns_line_changelist"),
                        "permission": lambda r: r.user.has_perm("campaigns.view_line"),
                    },
                    {
                        "title": _("Voices"),
                        "icon": "record_voice_over",
                        "link": reverse_lazy("admin:campaigns_voice_changelist"),
                        "permission": lambda r: r.user.has_perm("campaigns.view_voice"),
                    },
                    {
                        "title": _("Exchanges"),
                        "icon": "swap_horiz",
                        "link": reverse_lazy("admin:campaigns_exchange_changelist"),
                        "permission": lambda r: r.user.has_perm("campaigns.view_exchange"),
                    },
                    {
                        "title": _("Periods of keeping"),
                        "icon": "auto_delete",
                        "link": reverse_lazy("admin:campaigns_keeprule_changelist"),
                        "permission": lambda r: r.user.has_perm("campaigns.view_keeprule"),
                    },
                ],
            },
            {
                "title": _("Notices"),
                "separator": True,
                "items": [
                    {
                        "title": _("My notices"),
                        "icon": "notifications",
                        "link": reverse_lazy("admin:campaigns_notice_changelist"),
                        "permission": lambda r: r.user.has_perm("campaigns.view_notice"),
                    },
                    {
                        "title": _("Notice rules"),
                        "icon": "rule_settings",
                        "link": reverse_lazy("admin:campaigns_noticerule_changelist"),
                        "permission": lambda r: r.user.has_perm("campaigns.view_noticerule"),
                    },
                    {
                        "title": _("Webhooks"),
                        "icon": "webhook",
                        "link": reverse_lazy("admin:campaigns_noticehook_changelist"),
                        "permission": lambda r: r.user.has_perm("campaigns.view_noticehook"),
                    },
                    {
                        "title": _("What was sent"),
                        "icon": "outgoing_mail",
                        "link": reverse_lazy("admin:campaigns_noticedelivery_changelist"),
                        "permission": lambda r: r.user.has_perm("campaigns.view_noticedelivery"),
                    },
                ],
            },
            {
                "title": _("People"),
                "separator": True,
                "items": [
                    {
                        "title": _("Users"),
                        "icon": "person",
                        "link": reverse_lazy("admin:auth_user_changelist"),
                        "permission": lambda r: r.user.has_perm("auth.view_user"),
                    },
                    {
                        "title": _("Groups"),
                        "icon": "group",
                        "link": reverse_lazy("admin:auth_group_changelist"),
                        "permission": lambda r: r.user.has_perm("auth.view_group"),
                    },
                ],
            },
        ],
    },
}
