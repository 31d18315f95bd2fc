"""The event types: one file each. `traces.domain.catalog` finds them by itself.

A file defines ``Payload`` (its docstring is the documentation), ``EXAMPLE`` and ``UPCASTERS``
(schema version -> function from the payload of that version to the next one's). Its name in camel
case is the name of the event type. A file whose name starts with an underscore is no event type.
"""
