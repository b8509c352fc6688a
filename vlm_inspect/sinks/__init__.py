"""What becomes of judged parts.

row.py        one line of the tables; sink.py: the seam
Part by part:   cases.py (the store), messages.py (webhook, MQTT), labelme.py, folders.py (OK, NG, REVIEW)
All parts:      csv_table.py, parquet.py, coco.py
sender.py     sends what waits in the store's outbox: webhook.py, mqtt.py
serial.py     the serial number of a part, from its name or from a code on it
"""
