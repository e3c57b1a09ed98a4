from tiletwin.cli import main

raise SystemExit(main())
