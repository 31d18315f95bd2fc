"""Socket entry point (daphne): only ``/ws/``; HTTP is served by granian over WSGI."""

import os

from channels.routing import ProtocolTypeRouter, URLRouter
from django.core.asgi import get_asgi_application
from django.urls import path

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "decisiongraph.settings")
django_application = get_asgi_application()

from decisiongraph.consumers import Console  # noqa: E402  (needs the apps to be loaded)

application = ProtocolTypeRouter(
    {
        "http": django_application,
        "websocket": URLRouter([path("ws/", Console.as_asgi())]),
    }
)
