"""Addresses."""

from django.urls import URLPattern

api_urls: list[URLPattern] = []
console_urls: list[URLPattern] = []
