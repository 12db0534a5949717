"""AWS itself: sessions, errors, tags, prices and safe creation; the only importer of boto3."""
