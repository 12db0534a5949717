"""The configuration files of λFS's and HopsFS's clients, brought to this deployment."""
