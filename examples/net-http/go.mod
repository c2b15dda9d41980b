module example.com/rndrkit-net-http

go 1.19
