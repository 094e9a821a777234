"""`make bench`: run the benchmarks one after another, in about ten minutes."""

from benchmarks import end_to_end, handle, neighbours, receive, reconcile, waiters

receive.main()
end_to_end.main()
handle.main()
reconcile.main(200, 2_000)
neighbours.main()
waiters.main()
