"""Adapt the encoder to documents: they lend one another the words that they have in common.

"Kestrel" is what a company calls its tool for expenses. No public text says so; these notes do.
"""

from splade_engine import SearchEngine

NOTES = {
    "deadline": "Submit your travel expenses in Kestrel before the 25th of the month.",
    "receipt": "Kestrel wants the receipt of every taxi ride and every hotel night.",
    "approval": "Your manager approves expenses in Kestrel; above 500 euros finance approves them too.",
    "money": "Kestrel pays expenses back with the next salary.",
    "password": "Kestrel asks for a new password every ninety days.",
    "outage": "On Friday evening Kestrel is down for maintenance.",
    "coffee": "The coffee machine on the third floor wants to be cleaned every Friday.",
    "parking": "Visitors park behind the building and get a permit at the desk.",
    "printer": "The printer beside the kitchen takes A3 paper.",
    "holiday": "Ask for a holiday two weeks ahead, in the calendar of your team.",
}
records = [{"_id": name, "text": text} for name, text in NOTES.items()]
records += [{"_id": f"room-{i}", "text": f"Meeting room {i} seats {i + 3} people."} for i in range(1, 31)]

for adapt in (False, True):
    engine = SearchEngine.build("my-index", records, overwrite=True, adapt=adapt)
    hits = engine.search("expenses", k=8)
    print("adapted:" if adapt else "as it comes:", ", ".join(sorted(hit.id for hit in hits)))

outage = next(hit for hit in hits if hit.id == "outage")
print(f"{outage.text} [{outage.explain().matches[0].term}]")

# prints:
# as it comes: approval, deadline, money
# adapted: approval, deadline, holiday, money, outage, parking, password, receipt
# On Friday evening Kestrel is down for maintenance. [expenses]
