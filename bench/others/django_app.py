"""Django: one view, one unmanaged model, its ORM. gunicorn_front.py starts it."""

import os

import django
import psycopg2.extensions
from django.conf import settings

_PARTS = psycopg2.extensions.parse_dsn(os.environ["BENCH_URL"])
settings.configure(
    DEBUG=False, SECRET_KEY="bench", ALLOWED_HOSTS=["127.0.0.1"], ROOT_URLCONF="django_app", MIDDLEWARE=[], USE_TZ=True,
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.postgresql", "NAME": _PARTS["dbname"], "USER": _PARTS.get("user", ""),
            "PASSWORD": _PARTS.get("password", ""), "HOST": _PARTS.get("host", ""), "PORT": _PARTS.get("port", ""),
            "CONN_MAX_AGE": None, "OPTIONS": {"options": _PARTS["options"]} if "options" in _PARTS else {},
        }
    },
)  # fmt: skip
django.setup()

from django.core.wsgi import get_wsgi_application  # noqa: E402  # settings come first
from django.db import models  # noqa: E402  # settings come first
from django.http import Http404, JsonResponse  # noqa: E402  # settings come first
from django.urls import path  # noqa: E402  # settings come first

FIELDS = ("id", "prediction", "probability", "model_version", "carrier", "distance", "late")


class Prediction(models.Model):
    id = models.BigIntegerField(primary_key=True)
    batch = models.BigIntegerField()
    input_batch = models.BigIntegerField()
    prediction = models.BooleanField()
    probability = models.FloatField()
    model_version = models.IntegerField()
    carrier = models.TextField()
    distance = models.FloatField()
    late = models.FloatField(null=True)

    class Meta:
        app_label = "bench"
        managed = False
        db_table = '"bench_web"."history"'


def look_up(_, key):
    wanted = {"batch": os.environ["BENCH_BATCH"], "input_batch": os.environ["BENCH_INPUT"], "id": key}
    line = Prediction.objects.filter(**wanted).values(*FIELDS).first()
    if line is None:
        raise Http404
    return JsonResponse(line)


urlpatterns = [path("<int:key>", look_up)]
app = get_wsgi_application()
