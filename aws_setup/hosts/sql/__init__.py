"""SQL on the NDB manager: the database user, HopsFS's and λFS's scripts, and what has run."""
