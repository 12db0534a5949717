"""The programs that stand in for MySQL NDB's and for hdfs; they run on the rehearsal machines.

They are real processes with their state on disk and their own names, so that PID files, power
cuts and lost connections act as they do on the λFS machines. They use the standard library only.
"""
