"""The database and the artifact store. The only floor that imports sqlalchemy."""
