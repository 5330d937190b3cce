module retinue.test/supervise

go 1.25.0
