"""HTTP entry point (granian)."""

import gc
import os
import sys

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "decisiongraph.settings")
application = get_wsgi_application()

# A batch of events makes tens of thousands of short-lived objects: what is loaded now is never
# garbage, and looking through it at every batch cost a tenth of ingest.
gc.collect()
gc.freeze()
gc.set_threshold(50_000, 20, 50)

# Who holds a tenant's turn in the log waits for the database several times; with the default of 5 ms
# every other thread may take the interpreter for that long each time, while all writers wait.
sys.setswitchinterval(0.0005)
