module raywarden.test/pki

go 1.24.0
