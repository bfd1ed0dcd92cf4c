"""The records of Muniment: one frozen struct per noun, and what can be said of them with pencil and paper.

Nothing here opens a file, a socket or a database.
The server stores these structs, the API sends them, and the client hands them to people: there is no second shape.
"""
