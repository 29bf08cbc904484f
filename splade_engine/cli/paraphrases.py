"""Sixteen sentences of a help desk, and what people ask for them in words of their own.

The demo shows with them where BM25 ends: questions and answers share hardly a word. They were written down
before anything was searched with them, and none was changed afterwards.
"""

from __future__ import annotations

ARTICLES = {
    "refunds": "Refunds are paid to the original payment method within five business days.",
    "password": "To reset your password, follow the link in the email that we send you.",
    "cancel": "A subscription can be terminated at the end of every billing period.",
    "delivery": "Orders placed before noon are shipped on the same day.",
    "damaged": "Report items that arrive broken within 48 hours and attach a photograph.",
    "address": "The shipping address can be edited until the parcel leaves our warehouse.",
    "invoice": "Invoices are stored in your account and can be downloaded as PDF files.",
    "two-factor": "Two-factor authentication asks for a code from your phone when you sign in.",
    "warranty": "Every appliance is covered by a two-year manufacturer's guarantee.",
    "offline": "The application synchronizes your documents as soon as a connection is available.",
    "storage": "The free plan includes five gigabytes of storage.",
    "battery": "To make the battery last longer, lower the brightness of the display.",
    "noise": "A loud fan usually means that dust blocks the air vents.",
    "children": "Parental controls restrict which programs minors may watch.",
    "opening": "Our branches are open from nine to six, Monday through Saturday.",
    "jobs": "Vacant positions are published on our careers page.",
}

QUESTIONS = (
    ("can I get my money back", "refunds"),
    ("how long until the cash is on my card again", "refunds"),
    ("I forgot my login", "password"),
    ("I can't get into my profile any more", "password"),
    ("how do I stop paying every month", "cancel"),
    ("I want to quit my membership", "cancel"),
    ("when will my package be sent", "delivery"),
    ("my vase is in pieces", "damaged"),
    ("the screen was cracked when I opened the box", "damaged"),
    ("I moved house after buying", "address"),
    ("where do I find my bill", "invoice"),
    ("receipt for the tax office", "invoice"),
    ("make my account safer against hackers", "two-factor"),
    ("my washing machine stopped working after a year", "warranty"),
    ("does it work without internet", "offline"),
    ("can I use it on a plane", "offline"),
    ("how much space do I get without paying", "storage"),
    ("my phone dies too quickly", "battery"),
    ("the laptop sounds like a jet engine", "noise"),
    ("my computer is too hot and humming", "noise"),
    ("keep my kids away from violent films", "children"),
    ("can I visit you at the weekend", "opening"),
    ("is the shop closed in the evening", "opening"),
    ("do you hire people", "jobs"),
)
