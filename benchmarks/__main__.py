"""`make bench`: every benchmark, one after another, in about three minutes."""

from benchmarks import end_to_end, handle, receive, reconcile

receive.main()
end_to_end.main()
handle.main()
reconcile.main(200, 2_000)
