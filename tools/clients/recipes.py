def tried(program, folder, only): pass
