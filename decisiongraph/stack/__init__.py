"""The embedded stack behind ``make run``: PostgreSQL and Valkey from wheels, and the processes of the product.

``endpoints`` says where the database and the broker are (settings read it); ``postgres``, ``broker``
and ``services`` start them; ``parts`` and ``run`` start and watch everything else. Nothing in this
package imports Django, so a database can be started before settings are readable.
"""
